/** Content type of the text format; not from the library, which is loaded at the first scrape. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
