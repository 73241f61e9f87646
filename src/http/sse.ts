/** One server-sent event (WHATWG HTML, 9.2). */
export const sseEvent = (name: string, data: object): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
