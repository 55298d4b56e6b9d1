// Where things are on a host unless flags say otherwise.

export function stateDir(flags: { readonly stateDir?: string; readonly fabric: string }): string {
  return flags.stateDir ?? `/var/lib/heddle/${flags.fabric}`;
}

export function subnetFile(flags: { readonly subnetFile?: string }): string {
  return flags.subnetFile ?? "/run/flannel/subnet.env";
}

export function socketPath(flags: {
  readonly socket?: string | true;
  readonly fabric: string;
}): string {
  const { socket, fabric } = flags;
  return typeof socket === "string" ? socket : `/run/heddle/${fabric}.sock`;
}
