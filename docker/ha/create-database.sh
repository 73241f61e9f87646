#!/bin/sh
# Patroni runs this script once, on the first primary, with the address of the new cluster.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$SERVICE_PASSWORD" "$1" <<'SQL'
create role safe_counters login password :'password';
create database safe_counters owner safe_counters;
SQL
