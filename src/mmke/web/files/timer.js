// Seconds that a person spent on a record: while the tab is in front and they did something in the last minute.

const IDLE = 60_000;

export class Timer {
  constructor() {
    this.restart();
    for (const kind of ["keydown", "pointermove", "pointerdown", "wheel", "touchmove"]) {
      addEventListener(kind, () => this.#moved(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => this.#count());
    setInterval(() => this.#count(), 1000);
  }

  restart() {
    this.spent = 0;
    this.last = this.active = performance.now();
    this.front = document.visibilityState === "visible";
  }

  seconds() {
    this.#count();
    return Math.round(this.spent / 100) / 10;
  }

  #moved() {
    this.#count();
    this.active = performance.now();
  }

  #count() {
    const now = performance.now();
    // Up to a minute after the last sign of life; what was before the tab went to the back counts.
    if (this.front) this.spent += Math.max(0, Math.min(now, this.active + IDLE) - this.last);
    this.last = now;
    this.front = document.visibilityState === "visible";
  }
}
