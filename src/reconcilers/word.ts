// Names in commands that people run. Those of underlay devices come from the log, where every host
// says its own, and the kernel takes almost any character in one.

/** `text` as one word of a shell. */
export function word(text: string): string {
  return /^[\w.:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
