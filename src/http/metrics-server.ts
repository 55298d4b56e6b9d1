// What Prometheus learns from a server: what it counted, and how it stands with the log now.

import type { HookDeps } from "./deps.ts";
import { Scrape } from "./scrape.ts";

export async function serverMetrics(deps: HookDeps): Promise<string> {
  const scrape = new Scrape();
  const { fabric, version, metrics } = deps;
  const about = "Always 1; its labels tell which server this is";
  scrape.gauge("heddle_server_info", about, [[{ fabric, version }, 1]]);
  aboutLog(scrape, deps);
  aboutAudit(scrape, deps);
  const clients = "Clients that follow the log as server-sent events";
  scrape.gauge("heddle_http_stream_clients", clients, metrics.streamClients);
  scrape.process();
  return `${await metrics.text()}\n${await scrape.text()}`;
}

function aboutLog(scrape: Scrape, { follower }: HookDeps): void {
  const { seq, head, connected, damage } = follower.view();
  scrape.gauge("heddle_server_folded_sequence", "Last sequence of the log that is folded", seq);
  scrape.gauge("heddle_server_head_sequence", "Last sequence of the log that is known", head);
  const up = "1 while the log answers";
  scrape.gauge("heddle_server_log_connected", up, connected ? 1 : 0);
  const bad = "1 while the log is not the one that was followed";
  scrape.gauge("heddle_server_log_damaged", bad, damage === null ? 0 : 1);
  const refused = "Records that the fold refused, over the whole log";
  scrape.gauge("heddle_server_quarantined_records", refused, follower.state().quarantine.count);
}

/** Nothing where nobody ever signed: a lag behind no checkpoint is no fault. */
function aboutAudit(scrape: Scrape, { audit, key }: HookDeps): void {
  const { size, signed, trouble } = audit.view();
  if (key === null && signed === 0) return;
  const lag = "Records of the log that no signed checkpoint covers yet";
  scrape.gauge("heddle_audit_checkpoint_lag_records", lag, size - signed);
  const why = "1 while checkpoints are not signed or not known";
  scrape.gauge("heddle_audit_trouble", why, trouble === null ? 0 : 1);
}
