/** One thing that every implementation of an interface must do; it throws an AssertionError where it does not. */
export interface ContractCase<T> {
  readonly name: string;
  readonly run: (open: () => T | Promise<T>) => Promise<void>;
}
