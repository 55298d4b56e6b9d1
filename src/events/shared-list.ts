// Lists that most hosts say alike: the networks on their link, what they can do. Of 10 000 hosts
// each would keep its own; whoever reads them changes none.

/** Beyond this many different ones nothing is gained: it begins anew. */
const LISTS_MAX = 1024;

const NONE: readonly string[] = [];
const known = new Map<string, readonly string[]>();

/** A list equal to `list`, and if it was met before the very one that was met. */
export function sharedList(list: readonly string[]): readonly string[] {
  if (list.length === 0) return NONE;
  const key = list.join(" ");
  const met = known.get(key);
  // What has a space in itself may be another list of the same key.
  if (met !== undefined) return isSame(met, list) ? met : list;
  if (known.size === LISTS_MAX) known.clear();
  known.set(key, list);
  return list;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
