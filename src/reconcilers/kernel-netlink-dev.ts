// Names and indexes of network devices. KernelState knows only names; netlink knows only indexes.
// A Devices value lives from one look at the kernel to the next: an index dies with its device, and
// the kernel counts on before it gives it out again.

import { ENODEV, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK } from "../ffi/netlink/constants.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import { link } from "../ffi/netlink/link.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";

export type LinkMessage = ReturnType<typeof link.decode>;

const query = (index: number, name: string | undefined): Request => ({
  type: RTM_GETLINK,
  flags: 0,
  payload: link.encode({ index }, { IFLA_IFNAME: name, IFLA_EXT_MASK: RTEXT_FILTER_SKIP_STATS }),
});

export class Devices {
  readonly #socket: NetlinkSocket;
  readonly #byName = new Map<string, LinkMessage | null>();
  readonly #nameByIndex = new Map<number, string | null>();

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** The device of this name, or null. Throws NetlinkError. */
  get(name: string): LinkMessage | null {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const found = this.#ask(query(0, name));
    this.#byName.set(name, found);
    if (found !== null) this.#nameByIndex.set(found.header.index, name);
    return found;
  }

  indexOf(name: string): number | null {
    return this.get(name)?.header.index ?? null;
  }

  nameOf(index: number): string | null {
    const known = this.#nameByIndex.get(index);
    if (known !== undefined) return known;
    const name = this.#ask(query(index, undefined))?.attrs.IFLA_IFNAME ?? null;
    this.#nameByIndex.set(index, name);
    return name;
  }

  /** To be called when a device was made, changed or removed. */
  forget(): void {
    this.#byName.clear();
    this.#nameByIndex.clear();
  }

  #ask(request: Request): LinkMessage | null {
    try {
      return link.read(this.#socket.get(request));
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ENODEV) return null;
      throw error;
    }
  }
}
