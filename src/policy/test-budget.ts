// How much all tests of a policy together may cost. A text of a few megabytes can ask for a thousand times as much as is
// worth it, and a server that answers it does nothing else meanwhile.

export interface TestFailure {
  readonly at: number;
  readonly message: string;
}

/** Looks at a rule: about two seconds of work. */
const maxLooks = 30_000_000;

export class TestBudget {
  #left = maxLooks;
  #gaveUpAt: number | undefined;

  /** Is there room for so many looks at rules? When there is none, what stands at `at` is the first that was not tested. */
  allows(looks: number, at: number): boolean {
    this.#left -= looks;
    if (this.#left < 0) {
      this.#gaveUpAt ??= at;
    }
    return this.#left >= 0;
  }

  unfinished(): readonly TestFailure[] {
    const message = `the tests take too long with so many rules and nodes (more than ${maxLooks.toLocaleString("en")} looks at rules): from here on they were not run`;
    return this.#gaveUpAt === undefined ? [] : [{ at: this.#gaveUpAt, message }];
  }
}
