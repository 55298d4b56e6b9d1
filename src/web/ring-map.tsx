// A small fabric: every host, and a line for every link with how packets take it.

import { HEALTH_TEXT } from "./hosts.ts";
import { ringPlaces } from "./map-layout.ts";
import { type Link, links } from "./plans.ts";
import { chosenHost, rows, show } from "./store.ts";

interface Size {
  readonly width: number;
  readonly height: number;
}

const CARD = { width: 150, height: 46 };

export function RingMap({ width, height }: Size) {
  const chosen = chosenHost.value;
  const foreign = [...new Set(links.value.flatMap(({ from, to }) => [from, to]))].filter((name) =>
    name.startsWith("peer:"),
  );
  const names = [...rows.value.map(({ name }) => name), ...foreign];
  const places = ringPlaces(names.length, width, height);
  const at = new Map(names.map((name, index) => [name, places[index] ?? { x: 0, y: 0 }]));
  return (
    <svg
      class="ring"
      viewBox={`0 0 ${width} ${height}`}
      role="group"
      aria-label={`${rows.value.length} hosts and ${links.value.length} links`}
    >
      {links.value.map((link) => {
        const [a, b] = [at.get(link.from), at.get(link.to)];
        if (a === undefined || b === undefined) return null;
        const faded = chosen !== null && link.from !== chosen && link.to !== chosen;
        return (
          <line
            key={`${link.from} ${link.to}`}
            class={`link ${link.path} ${link.error === null ? "" : "failed"} ${faded ? "faded" : ""}`}
            {...{ x1: a.x, y1: a.y, x2: b.x, y2: b.y }}
          >
            <title>{titleOf(link)}</title>
          </line>
        );
      })}
      {rows.value.map((row) => {
        const { x, y } = at.get(row.name) ?? { x: 0, y: 0 };
        return (
          <g
            key={row.name}
            class={`card ${row.health}`}
            role="button"
            tabindex={0}
            aria-pressed={row.name === chosen}
            aria-label={`${row.name}, ${HEALTH_TEXT[row.health]}, ${row.subnets.join(" ")}`}
            transform={`translate(${x - CARD.width / 2} ${y - CARD.height / 2})`}
            onClick={() => show({ host: row.name })}
            onKeyDown={(event) => {
              if (event.key === "Enter" || event.key === " ") show({ host: row.name });
            }}
          >
            <rect width={CARD.width} height={CARD.height} rx={6} />
            <text x={12} y={19} class="name">
              {row.name}
            </text>
            <text x={12} y={36} class="subnet">
              {row.subnets[0] ?? "no lease"}
            </text>
          </g>
        );
      })}
      {foreign.map((name) => {
        const { x, y } = at.get(name) ?? { x: 0, y: 0 };
        return (
          <g
            key={name}
            class="card foreign"
            transform={`translate(${x - CARD.width / 2} ${y - CARD.height / 2})`}
          >
            <rect width={CARD.width} height={CARD.height} rx={6} />
            <text x={12} y={19} class="name">
              {name.slice("peer:".length)}
            </text>
            <text x={12} y={36} class="subnet">
              foreign peer
            </text>
          </g>
        );
      })}
    </svg>
  );
}

function titleOf({ from, to, path, error }: Link): string {
  return `${from} – ${to}: ${error ?? path}`;
}
