// A peer that knows nothing but flannel's wire format, to be run in a network namespace: the inner
// IPv4 packet is the UDP payload. Answers pings to any address of its subnet; asks each address
// given for a ping and prints its name when the answer comes; a last argument "as ADDRESS" asks
// with somebody else's inner source instead.
//
//   bun plain-peer.ts LOCAL PORT REMOTE FROM TO

import { createSocket } from "node:dgram";
import { checksum } from "./packet.ts";

const [local = "", port = "", remote = "", from = "", to = ""] = process.argv.slice(2);
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const bytesOf = (ip: string): number[] => ip.split(".").map(Number);

function sealed(packet: Uint8Array): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  view.setUint16(10, 0);
  view.setUint16(10, ~checksum(packet.subarray(0, 20)) & 0xffff);
  view.setUint16(22, 0);
  view.setUint16(22, ~checksum(packet.subarray(20)) & 0xffff);
  return packet;
}

function question(): Uint8Array {
  const packet = new Uint8Array(84);
  packet.set([0x45, 0, 0, 84, 0, 1, 0, 0, 64, 1]);
  packet.set(bytesOf(from), 12);
  packet.set(bytesOf(to), 16);
  packet.set([ECHO_REQUEST, 0, 0, 0, 0x12, 0x34, 0, 1], 20);
  return sealed(packet);
}

const socket = createSocket("udp4");
socket.on("message", (message, sender) => {
  const packet = Uint8Array.from(message);
  if (packet[0] !== 0x45 || packet[9] !== 1) return;
  if (packet[20] === ECHO_REPLY)
    process.stdout.write(`answered ${packet.slice(12, 16).join(".")}\n`);
  if (packet[20] !== ECHO_REQUEST) return;
  const [source, destination] = [packet.slice(12, 16), packet.slice(16, 20)];
  packet.set(destination, 12);
  packet.set(source, 16);
  packet[20] = ECHO_REPLY;
  socket.send(sealed(packet), sender.port, sender.address);
});
socket.bind(Number(port), local, () => {
  process.stdout.write("bound\n");
  // Until it is ended: the first ones may come before the host knows this peer.
  setInterval(() => socket.send(question(), Number(port), remote), 100);
});
