import t from 'tap';
import type { Add, Outcome } from '../../src/concurrency/history.ts';
import { checkSales } from '../../src/concurrency/sales.ts';
import { fc } from '../property.ts';

const sale = (startedAt: number, endedAt: number, outcome: Outcome = 'acknowledged'): Add => ({
  startedAt,
  endedAt,
  by: 1,
  outcome,
});
const refusal = (startedAt: number, endedAt: number) => sale(startedAt, endedAt, 'refused');

t.test('sales one after another succeed as long as stock is left', async (t) => {
  t.strictSame(checkSales(2, [sale(0, 1), sale(2, 3), refusal(4, 5), refusal(6, 7)]), []);
  t.strictSame(checkSales(2, [sale(0, 1)]), [], 'some may be left');
  t.strictSame(checkSales(0, [refusal(0, 1)]), []);
  t.strictSame(checkSales(1, [refusal(0, 10), sale(5, 20)]), [], 'the later request was served first');
  t.strictSame(
    checkSales(1, [sale(0, 1, 'unknown'), refusal(2, 3)]),
    [],
    'the sale with the unknown outcome may have taken the last one',
  );
});

t.test('sales beyond the stock are a violation', async (t) => {
  t.strictSame(checkSales(1, [sale(0, 10), sale(0, 10)]), ['sold 2 of 1']);
  t.strictSame(checkSales(0, [sale(0, 10)]), ['sold 1 of 0']);
});

t.test('a refusal while stock is left is a violation', async (t) => {
  const early = /refused 1 before it was sold out/;
  t.match(checkSales(1, [refusal(0, 1)]), [early]);
  t.match(checkSales(1, [refusal(0, 4), sale(5, 6)]), [early], 'the last one was sold later');
  t.match(checkSales(2, [sale(0, 1), refusal(2, 3), refusal(0, 9)]), [/refused 2 before/]);
  t.match(checkSales(2, [sale(0, 1, 'unknown'), refusal(2, 3)]), [early]);
});

t.test('a sale is a violation once a refusal has shown that the stock is sold out', async (t) => {
  const history = [sale(0, 100, 'unknown'), refusal(1, 2), sale(3, 4)];
  t.strictSame(checkSales(1, history), ['sold 1 after it was sold out']);
});

t.test(
  'a sale that decides at one moment of each call is legal; overselling and early refusals are found',
  async (t) => {
    const call = fc.record({
      at: fc.nat(1000),
      before: fc.nat(50),
      after: fc.nat(50),
      answered: fc.boolean(),
    });
    const load = fc.record({ calls: fc.array(call, { maxLength: 40 }), stock: fc.nat(20) });
    fc.assert(
      fc.property(load, ({ calls, stock }) => {
        let left = stock;
        const sales = calls
          .toSorted((a, b) => a.at - b.at)
          .map(({ at, before, after, answered }): Add => {
            const outcome = left > 0 ? 'acknowledged' : 'refused';
            left -= left > 0 ? 1 : 0;
            return sale(at - before, at + after, answered ? outcome : 'unknown');
          });
        if (checkSales(stock, sales).length > 0) return false;
        // One sale beyond the stock, and one refusal before any other call.
        const sold = sales.filter(({ outcome }) => outcome === 'acknowledged').length;
        const over = Array.from({ length: stock - sold + 1 }, () => sale(-100, 2000));
        if (checkSales(stock, [...sales, ...over]).length === 0) return false;
        return stock === 0 || checkSales(stock, [...sales, refusal(-200, -100)]).length > 0;
      }),
    );
    t.pass();
  },
);
