// The map. Which drawing it is depends on how many hosts there are; the list beside it is the same
// by keyboard.

import { useEffect, useRef, useState } from "preact/hooks";
import { BoxMap } from "./box-map.tsx";
import { RING_MAX } from "./map-layout.ts";
import { RingMap } from "./ring-map.tsx";
import { rows } from "./store.ts";

export function FabricMap() {
  const room = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 900, height: 480 });
  useEffect(() => {
    const element = room.current;
    if (element === null) return;
    const resized = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    resized.observe(element);
    return () => resized.disconnect();
  }, []);
  const shown = rows.value;
  return (
    <div class="map-room" ref={room}>
      {shown.length === 0 && <p class="hint">No host had joined at this moment.</p>}
      {shown.length > 0 &&
        (shown.length <= RING_MAX ? <RingMap {...size} /> : <BoxMap width={size.width} />)}
    </div>
  );
}
