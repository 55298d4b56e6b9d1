// The web page, bundled by Bun when it is first asked for, or into the single-file program when
// that is built.

import page from "../web/index.html";

export { page };
