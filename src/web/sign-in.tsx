// Asks for the token that the server wants.

import { useState } from "preact/hooks";
import { signIn, trouble } from "./store.ts";

export function SignIn() {
  const [text, setText] = useState("");
  return (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        void signIn(text.trim());
      }}
    >
      <h1>Heddle</h1>
      <p>{trouble.value}</p>
      <label for="token">Token with scope read</label>
      <input
        id="token"
        type="password"
        autocomplete="off"
        required
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit">Show the fabric</button>
      <p class="hint">
        Make one with <code>heddle token create --name NAME --scope read</code>. It is kept until
        this tab is closed.
      </p>
    </form>
  );
}
