import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Health, HostRow } from "../../src/web/hosts.ts";
import { type Box, boxLayout, CELL, ringPlaces } from "../../src/web/map-layout.ts";

const hosts = fc.array(
  fc.record({
    group: fc.constantFrom("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"),
    health: fc.constantFrom<Health>("ready", "behind", "degraded", "frozen", "left"),
  }),
  { minLength: 1, maxLength: 400 },
);

function rowsOf(parts: readonly Pick<HostRow, "group" | "health">[]): HostRow[] {
  return parts.map((part, index) => ({
    ...part,
    name: `h${index}`,
    subnets: [],
    publicIp: null,
    backend: "vxlan",
    applied: null,
    problems: [],
  }));
}

function apart(a: Box, b: Box): boolean {
  const beside = a.x + a.width <= b.x || b.x + b.width <= a.x;
  return beside || a.y + a.height <= b.y || b.y + b.height <= a.y;
}

describe("boxes", () => {
  test("hold every host once, apart from each other and inside the width", () => {
    fc.assert(
      fc.property(hosts, fc.integer({ min: 220, max: 2000 }), (parts, width) => {
        const { boxes, height } = boxLayout(rowsOf(parts), width);
        const names = boxes.flatMap(({ cells }) => cells.map(({ host }) => host.name));
        expect(names.toSorted()).toEqual(
          rowsOf(parts)
            .map(({ name }) => name)
            .toSorted(),
        );
        for (const [index, box] of boxes.entries()) {
          expect(box.x + box.width).toBeLessThanOrEqual(width);
          expect(box.y + box.height).toBeLessThanOrEqual(height);
          for (const other of boxes.slice(index + 1)) expect(apart(box, other)).toBe(true);
          for (const cell of box.cells) {
            expect(cell.x + CELL).toBeLessThanOrEqual(box.x + box.width);
            expect(cell.y + CELL).toBeLessThanOrEqual(box.y + box.height);
          }
        }
      }),
    );
  });

  test("of very many hosts only count them", () => {
    const many = rowsOf(Array.from({ length: 3000 }, () => ({ group: "g", health: "ready" })));
    const [box] = boxLayout(many, 1000).boxes;
    expect(box?.cells).toEqual([]);
    expect(box?.count).toBe(3000);
    expect([...(box?.healths ?? [])]).toEqual([["ready", 3000]]);
  });
});

describe("ring", () => {
  test("has a place of its own for every host, inside the drawing", () => {
    for (let count = 1; count <= 32; count += 1) {
      const places = ringPlaces(count, 900, 500);
      expect(new Set(places.map(({ x, y }) => `${x} ${y}`)).size).toBe(count);
      for (const { x, y } of places) {
        expect(x).toBeWithin(0, 900);
        expect(y).toBeWithin(0, 500);
      }
    }
  });
});
