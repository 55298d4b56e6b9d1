// A list of any length that draws only the rows in sight.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { windowRows } from "./window-rows.ts";

interface Props {
  readonly label: string;
  readonly total: number;
  readonly rowHeight: number;
  /** The row to bring into sight when it changes, or null. */
  readonly reveal?: number | null;
  readonly row: (index: number) => ComponentChildren;
}

export function VirtualList({ label, total, rowHeight, reveal = null, row }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ top: 0, height: 400 });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const look = (): void => setSeen({ top: element.scrollTop, height: element.clientHeight });
    const resized = new ResizeObserver(look);
    resized.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      resized.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);
  useEffect(() => {
    const element = box.current;
    if (element === null || reveal === null) return;
    const top = reveal * rowHeight;
    if (top >= element.scrollTop && top + rowHeight <= element.scrollTop + element.clientHeight) {
      return;
    }
    element.scrollTop = top - element.clientHeight / 2;
  }, [reveal, rowHeight]);
  const { first, count } = windowRows(total, rowHeight, seen.top, seen.height);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
    <div class="list" ref={box} tabIndex={0}>
      <ul class="list-room" aria-label={label} style={{ height: `${total * rowHeight}px` }}>
        {Array.from({ length: count }, (_, offset) => {
          const index = first + offset;
          return (
            <li
              key={index}
              class="list-row"
              aria-setsize={total}
              aria-posinset={index + 1}
              style={{ top: `${index * rowHeight}px`, height: `${rowHeight}px` }}
            >
              {row(index)}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
