// What separates a process from the world: once it is dead nothing it waits for ever comes and
// nothing it still says has any effect, as after kill -9.

export class Gate {
  #alive = true;
  readonly #atDeath = new Set<() => void>();

  get alive(): boolean {
    return this.#alive;
  }

  /** Runs `work` unless dead; its outcome arrives unless dead by then. */
  pass<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#alive) return;
      work().then(
        (value) => this.#alive && resolve(value),
        (error: unknown) => this.#alive && reject(error),
      );
    });
  }

  onDeath(fn: () => void): () => void {
    this.#atDeath.add(fn);
    return () => this.#atDeath.delete(fn);
  }

  close(): void {
    this.#alive = false;
    for (const fn of [...this.#atDeath]) fn();
    this.#atDeath.clear();
  }
}
