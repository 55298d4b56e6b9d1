// The port to the program's log. One line per fact; fields carry the data, under the same names
// everywhere: node fabric seq noun key op errno reason ms.

export type Fields = { readonly [name: string]: string | number | boolean | null };

export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}
