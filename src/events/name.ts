// Names that appear in NATS subjects. A subject token cannot hold ".", "*", ">" or spaces, host
// names and prefixes hold dots: the dot becomes "_", which neither may contain, so the mapping is
// one-to-one in both directions.

import type { Cidr } from "./address.ts";

/** RFC 1123 host name, or a label of one; the identity of a node. */
const NODE_NAME = /^(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
export const NODE_NAME_PATTERN = NODE_NAME.source;

/** Names the stream (`HEDDLE_<FABRIC>`) and the subjects; short, because it is in every subject. */
const FABRIC_NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

/** Of what operators name: foreign peers, tokens, webhooks. */
export const GIVEN_NAME = /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/;

export function isNodeName(text: string): boolean {
  return NODE_NAME.test(text);
}

export function isFabricName(text: string): boolean {
  return FABRIC_NAME.test(text);
}

export function nameToken(name: string): string {
  return name.includes(".") ? name.replaceAll(".", "_") : name;
}

/** `10.5.3.0/24` becomes `10_5_3_0-24`, `fd00::/64` becomes `fd00::-64`. */
export function cidrToken(cidr: Cidr): string {
  return cidr.replaceAll(".", "_").replace("/", "-");
}

export function checkpointSubject(fabric: string): string {
  return `heddle-checkpoint.${fabric}`;
}

export function streamName(fabric: string): string {
  return `HEDDLE_${fabric.toUpperCase().replaceAll("-", "_")}`;
}
