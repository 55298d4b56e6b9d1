// A command that ends with the process that started it, however that ends: nothing of a test run
// that was killed stays behind.

export function mortal(command: readonly string[]): string[] {
  return ["setpriv", "--pdeathsig", "KILL", ...command];
}
