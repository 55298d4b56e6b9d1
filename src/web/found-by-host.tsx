// What a host found in its kernel when it last looked, beside what it should hold.

import { asked, type Found, found } from "./found.ts";

export function FoundByHost() {
  const answer = found.value;
  if (asked.value === null || answer === null) return null;
  return (
    <section class="found" aria-label={`Found by ${asked.value}`}>
      {"trouble" in answer ? (
        <p class="problem">Found: {answer.trouble}</p>
      ) : (
        <Answer {...answer} />
      )}
    </section>
  );
}

function Answer({
  node: self,
  asWanted,
  planned,
  error,
  differences,
  differenceCount,
  failed,
  healed,
}: Found) {
  const at = planned === null ? "not looked yet" : `of sequence ${planned}`;
  return (
    <>
      <h3>
        Found: {asWanted ? "as wanted" : "not as wanted"} <span class="hint">{at}</span>
      </h3>
      {error !== null && <p class="problem">The kernel cannot be read: {error}</p>}
      <ul>
        {differences.map(({ command, noun, problem, error: why }) => (
          <li key={command}>
            <code>{command}</code>
            <span class={why === null ? "hint" : "problem"}>
              {noun} {problem}
              {why === null ? "" : `: ${why}`}
            </span>
          </li>
        ))}
        {failed.map(({ node, error: why }) => (
          <li key={node} class="problem">
            {node === self ? "" : `peer ${node}: `}
            {why}
          </li>
        ))}
      </ul>
      {differenceCount > differences.length && (
        <p class="hint">and {differenceCount - differences.length} more differences</p>
      )}
      {healed !== null && <Healed {...healed} />}
    </>
  );
}

function Healed({ time, count, items }: NonNullable<Found["healed"]>) {
  const [first] = items;
  const what = first === undefined ? "" : `: ${first.noun} ${first.problem}`;
  const more = count > 1 ? ` and ${count - 1} more` : "";
  return (
    <p class="hint">
      Last put right{time === null ? "" : ` at ${time}`}
      {what}
      {first === undefined ? "" : ` (${first.wanted ?? first.found})`}
      {more}
    </p>
  );
}
