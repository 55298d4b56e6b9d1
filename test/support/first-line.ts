// What a program says when it begins, such as where it listens.

/**
 * The first line that has `words` in it: a busy program may say something else before. The rest is
 * read to its end, so that its writer never waits for a reader.
 */
export async function firstLine(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  words = "",
): Promise<string> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const found = (): string | undefined => {
    return text
      .split("\n")
      .slice(0, -1)
      .find((line) => line.includes(words));
  };
  while (found() === undefined) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`it ended without a line of ${words}: ${text}`);
    text += value;
  }
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return found() ?? "";
}
