// What the page knows: the state as the server sent it, kept current by its deltas.

import { follow } from "./stream.js";

const STALE = 5; // seconds

/** One dependency; only what shows it is drawn again when it changes. */
class Row {
  data = $state.raw({});
  open = $state(false);

  constructor(data) {
    this.data = data;
  }
}

class Store {
  state = $state.raw(null);
  order = $state.raw([]);
  timeline = $state.raw([]);
  tick = $state(Date.now() / 1000); // this machine's time, once a second
  heard = $state(0); // this machine's time of the last news
  offset = 0; // the server's time less this machine's
  down = $state(false);
  locked = $state(false); // the server wants a token to read
  token = $state(sessionStorage.getItem("seawall-token") || "");

  rows = new Map();

  /** The server's time, once a second. */
  get now() {
    return this.tick + this.offset;
  }

  /** Seconds since the last news if that is too long, otherwise 0. */
  get stale() {
    const age = this.tick - this.heard;
    return this.heard && age > STALE ? age : 0;
  }

  start() {
    setInterval(() => (this.tick = Date.now() / 1000), 1000);
    document.addEventListener("visibilitychange", () => (this.tick = Date.now() / 1000));
    follow("/api/v1/events", () => this.token, {
      message: (kind, data) => this.take(kind, data),
      down: (status) => {
        this.down = true;
        this.locked = status === 401;
      },
    });
  }

  keep(token) {
    this.token = token.trim();
    sessionStorage.setItem("seawall-token", this.token);
  }

  take(kind, data) {
    if (kind === "bye") return;
    this.down = this.locked = false;
    this.heard = this.tick = Date.now() / 1000;
    this.offset = data.now - this.heard;
    const { rows = [], gone = [], timeline = [], ...rest } = data;
    if (kind === "state") {
      const known = this.rows;
      this.rows = new Map();
      for (const row of rows) {
        const there = known.get(row.id);
        if (there) there.data = row;
        this.rows.set(row.id, there ?? new Row(row));
      }
      this.timeline = timeline.reverse();
      this.state = rest;
      this.sort();
      return;
    }
    let moved = gone.length > 0;
    for (const name of gone) this.rows.delete(name);
    for (const row of rows) {
      const there = this.rows.get(row.id);
      moved ||= !there || (row.level ?? there.data.level) !== there.data.level;
      if (there) there.data = { ...there.data, ...row };
      else this.rows.set(row.id, new Row(row));
    }
    if (Object.keys(rest).length > 1) this.state = { ...this.state, ...rest };
    if (moved) this.sort();
    if (timeline.length) this.write(timeline);
  }

  sort() {
    const by = (a, b) => b.data.level - a.data.level || (a.data.id < b.data.id ? -1 : 1);
    this.order = [...this.rows.values()].sort(by);
  }

  /** Lines that are new come first; those that were counted on change in place. */
  write(lines) {
    const changed = new Map(lines.map((line) => [line.id, line]));
    const kept = this.timeline.map((line) => {
      const newer = changed.get(line.id);
      changed.delete(line.id);
      return newer ?? line;
    });
    this.timeline = [...[...changed.values()].reverse(), ...kept].slice(0, 400);
  }
}

export const store = new Store();
