// A large fabric: a box for each underlay link, a cell for each host in it, or only counts where
// cells would be too many. The lines of a small map become the colour of a cell: how the chosen
// host reaches it.

import { useMemo } from "preact/hooks";
import type { PeerPlan } from "../reconcilers/plan.ts";
import { HEALTH_TEXT, HEALTHS } from "./hosts.ts";
import { type Box, boxLayout, CELL, type Cell } from "./map-layout.ts";
import { plan } from "./plans.ts";
import { chosenHost, rows, show } from "./store.ts";

export function BoxMap({ width }: { readonly width: number }) {
  const shown = rows.value;
  const { boxes, height } = useMemo(() => boxLayout(shown, width), [shown, width]);
  const reach = useMemo(
    () => new Map((plan.value?.peers ?? []).map((peer) => [peer.node, peer])),
    [plan.value],
  );
  return (
    <svg
      class="boxes"
      width={width}
      height={height}
      role="group"
      aria-label={`${shown.length} hosts on ${boxes.length} links`}
    >
      {boxes.map((box) => (
        <g key={box.group}>
          <rect class="box" x={box.x} y={box.y} width={box.width} height={box.height} rx={6} />
          <text x={box.x + 10} y={box.y + 16} class="group">
            {box.group} · {box.count}
          </text>
          {box.cells.length === 0 && <Bar box={box} />}
          {box.cells.map((cell) => (
            <HostCell key={cell.host.name} cell={cell} reach={reach.get(cell.host.name)} />
          ))}
        </g>
      ))}
    </svg>
  );
}

interface HostCellProps {
  readonly cell: Cell;
  readonly reach: PeerPlan | undefined;
}

function HostCell({ cell: { host, x, y }, reach }: HostCellProps) {
  const chosen = chosenHost.value === host.name;
  const how = reach === undefined ? "" : `, ${reach.error ?? reach.path}`;
  const path = reach === undefined ? "" : reach.error === null ? `by-${reach.path}` : "by-none";
  return (
    <rect
      class={`cell ${host.health} ${path} ${chosen ? "chosen" : ""}`}
      {...{ x, y, width: CELL, height: CELL, rx: 3 }}
      role="button"
      tabindex={-1}
      aria-label={`${host.name}, ${HEALTH_TEXT[host.health]}${how}`}
      onClick={() => show({ host: host.name })}
    >
      <title>{`${host.name} ${host.subnets.join(" ")}, ${HEALTH_TEXT[host.health]}${how}`}</title>
    </rect>
  );
}

function Bar({ box }: { readonly box: Box }) {
  const room = box.width - 20;
  let x = box.x + 10;
  return (
    <>
      {HEALTHS.map((health) => {
        const count = box.healths.get(health) ?? 0;
        if (count === 0) return null;
        const width = (room * count) / box.count;
        const left = x;
        x += width;
        return (
          <rect
            key={health}
            class={`cell ${health}`}
            {...{ x: left, y: box.y + 24, width, height: CELL }}
          >
            <title>{`${count} ${HEALTH_TEXT[health]}`}</title>
          </rect>
        );
      })}
    </>
  );
}
