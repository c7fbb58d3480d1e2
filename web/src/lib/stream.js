// Server-sent events over fetch: EventSource can send no token, and hides what went wrong.

const QUIET = 15000; // milliseconds without a byte after which the line is taken for dead

/**
 * Follow the stream for ever: `on.message(kind, data)` for each event, `on.down(status)` whenever the line is lost
 * (0 when nobody answered). `token()` gives the bearer token or "".
 */
export async function follow(address, token, on) {
  let last = "";
  let pause = 500;
  for (;;) {
    const abort = new AbortController();
    let watch;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => abort.abort(), QUIET);
    };
    let status = 0;
    try {
      alive();
      const headers = { Accept: "text/event-stream" };
      if (last) headers["Last-Event-ID"] = last;
      if (token()) headers.Authorization = `Bearer ${token()}`;
      const answer = await fetch(address, { headers, signal: abort.signal, cache: "no-store" });
      status = answer.status;
      if (answer.ok) {
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = "";
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          alive();
          pause = 500;
          const blocks = (rest + value).split("\n\n");
          rest = blocks.pop();
          for (const block of blocks) last = deliver(block, on) || last;
        }
        status = 0;
      }
    } catch {
      status = 0;
    }
    clearTimeout(watch);
    on.down(status);
    await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random())));
    pause = Math.min(pause * 2, 5000);
  }
}

/** Hand over one event; its id. */
function deliver(block, on) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (fields.event && fields.data) on.message(fields.event, JSON.parse(fields.data));
  return fields.id;
}
