// Keeps the server small. JavaScriptCore collects once its heap has grown by a share of what is
// alive, and does not see memory outside its heap; so a server that unfolds states of a megabyte of
// text again and again stands at 550 MiB of which 190 are alive (1 000 000 events, 1 000 nodes).
// Whoever makes much garbage at once says so here. A collection takes 14 ms there.

/** Not worth a collection. */
const LITTLE_BYTES = 8 << 20;
/** Worth one however small the process is. */
const MUCH_BYTES = 32 << 20;
/** Above this a little is worth it too; the aim is 256 MiB. */
const RESIDENT_BYTES = 216 << 20;

let bytes = 0;

/** To be called with an estimate, once what was made is not needed any more. */
export function madeGarbage(estimate: number): void {
  bytes += estimate;
  if (bytes < LITTLE_BYTES) return;
  if (bytes < MUCH_BYTES && process.memoryUsage.rss() < RESIDENT_BYTES) return;
  bytes = 0;
  Bun.gc(true);
}
