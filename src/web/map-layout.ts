// Where the map puts things, in the units of its drawing. A small fabric is a ring of hosts with a
// line for each link; a larger one is a box for each underlay link with a cell for each host;
// beyond that a box only counts its hosts.

import { HEALTHS, type Health, type HostRow } from "./hosts.ts";

/** More hosts than this make lines between them unreadable. */
export const RING_MAX = 32;
/** More cells than this are neither told apart nor drawn in a frame's time. */
const CELLS_MAX = 2500;

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Places on an ellipse, the first at the top, clockwise. */
export function ringPlaces(count: number, width: number, height: number): readonly Point[] {
  const [rx, ry] = [width / 2 - 90, height / 2 - 40];
  if (count === 1) return [{ x: width / 2, y: height / 2 }];
  return Array.from({ length: count }, (_, index) => {
    const angle = (2 * Math.PI * index) / count - Math.PI / 2;
    return { x: width / 2 + rx * Math.cos(angle), y: height / 2 + ry * Math.sin(angle) };
  });
}

export interface Cell extends Point {
  readonly host: HostRow;
}

export interface Box extends Point {
  readonly group: string;
  readonly width: number;
  readonly height: number;
  readonly count: number;
  readonly healths: ReadonlyMap<Health, number>;
  /** Empty when the box only counts. */
  readonly cells: readonly Cell[];
}

export interface BoxLayout {
  readonly boxes: readonly Box[];
  readonly height: number;
}

export const CELL = 14;
const PITCH = CELL + 4;
const PAD = 10;
const TITLE = 22;
const BAR = 20;
const BOX_WIDTH_MIN = 190;
const GAP = 12;

/** Boxes from left to right and top to bottom, the largest group first. */
export function boxLayout(rows: readonly HostRow[], width: number): BoxLayout {
  const withCells = rows.length <= CELLS_MAX;
  const groups = [...Map.groupBy(rows, (row) => row.group)].sort(
    ([a, some], [b, others]) => others.length - some.length || (a < b ? -1 : 1),
  );
  const boxes: Box[] = [];
  let [x, y, rowHeight] = [0, 0, 0];
  for (const [group, members] of groups) {
    const size = boxSize(members.length, width, withCells);
    if (x > 0 && x + size.width > width) [x, y, rowHeight] = [0, y + rowHeight + GAP, 0];
    boxes.push(boxAt({ x, y }, group, members, { ...size, withCells }));
    x += size.width + GAP;
    rowHeight = Math.max(rowHeight, size.height);
  }
  return { boxes, height: y + rowHeight };
}

interface Size {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
}

function boxSize(count: number, room: number, withCells: boolean): Size {
  if (!withCells) return { width: BOX_WIDTH_MIN, height: TITLE + BAR + PAD, columns: 1 };
  const most = Math.max(1, Math.floor((room - 2 * PAD) / PITCH));
  const columns = Math.min(most, Math.max(9, Math.ceil(Math.sqrt(count * 2.5))));
  const width = Math.min(room, Math.max(BOX_WIDTH_MIN, columns * PITCH + 2 * PAD));
  return { width, height: TITLE + Math.ceil(count / columns) * PITCH + PAD, columns };
}

function boxAt(
  { x, y }: Point,
  group: string,
  members: readonly HostRow[],
  { width, height, columns, withCells }: Size & { readonly withCells: boolean },
): Box {
  const counts = Map.groupBy(members, (row) => row.health);
  const healths = new Map(
    HEALTHS.flatMap((health) => {
      const count = counts.get(health)?.length ?? 0;
      return count === 0 ? [] : [[health, count] as const];
    }),
  );
  const cells = withCells
    ? members.map((host, index) => ({
        host,
        x: x + PAD + (index % columns) * PITCH,
        y: y + TITLE + Math.floor(index / columns) * PITCH,
      }))
    : [];
  return { x, y, width, height, group, count: members.length, healths, cells };
}
