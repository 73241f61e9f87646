// @ts-check

/**
 * Yields the server-sent events of a response (WHATWG HTML, 9.2). EventSource is not used because it does not tell why
 * a request was refused, and reconnects after the last event.
 *
 * @param {Response} response
 * @returns {AsyncGenerator<{ event: string, data: any }>}
 */
export async function* readEvents(response) {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let over = false;
  try {
    while (!over) {
      const { value, done } = await reader.read();
      over = done;
      text += decoder.decode(value, { stream: !done });
      const blocks = text.split(/\r?\n\r?\n/);
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    if (!over) await reader.cancel().catch(() => {});
  }
}

/** Undefined for a comment, which only keeps the connection alive. @param {string} block */
function parse(block) {
  let event = 'message';
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (field === 'event') event = value ?? '';
    if (field === 'data') data.push(value);
  }
  return data.length > 0 ? { event, data: JSON.parse(data.join('\n')) } : undefined;
}
