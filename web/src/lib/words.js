// Numbers and times as people read them; the same words as on the terminal.

/** A duration in seconds: "0.25 s", "28 s", "4 min", "1.5 h", "3 d". */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0995) return `${Math.max(0, Math.round(value * 1000))} ms`;
  if (value < 9.95) return `${Number(value.toPrecision(2))} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Number((value / 3600).toPrecision(2))} h`;
  return `${Math.round(value / 86400)} d`;
}

/** How long ago or until: whole seconds, so that it does not flicker. */
export function whole(value) {
  return value < 1 ? "0 s" : seconds(value < 9.95 ? Math.round(value) : value);
}

/** A share from 0 to 1 in per cent. */
export function percent(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0%";
  if (value < 0.001) return "< 0.1%";
  return value < 0.0995 ? `${(value * 100).toFixed(1)}%` : `${Math.round(value * 100)}%`;
}

/** A count, shortened from ten thousand on. */
export function count(value) {
  if (value >= 10000) return `${Number((value / 1000).toPrecision(3))} k`;
  return value < 10 ? String(Number(value.toPrecision(2))) : String(Math.round(value));
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** Wall seconds as local time; with the day if it is not today. */
export function local(wall, now) {
  const date = new Date(wall * 1000);
  const today = new Date(now * 1000).toDateString() === date.toDateString();
  return today ? CLOCK.format(date) : `${DAY.format(date)} ${CLOCK.format(date)}`;
}

/** Wall seconds in UTC, for the tooltip. */
export function utc(wall) {
  return `${new Date(wall * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** An argument as a shell needs it. */
export function quoted(text) {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What a circuit that somebody holds by hand is. */
export function held(state) {
  return { disabled: "switched off", observe: "observed only" }[state] ?? `forced ${state}`;
}
