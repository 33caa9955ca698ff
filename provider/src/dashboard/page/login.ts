import { element } from "./components/element.js";

/** Asks for the token. Reloads the page once the server has accepted it. */
export function showLogin(root: HTMLElement): void {
  const token = element("input", { type: "password", id: "token", autocomplete: "current-password", required: "" });
  const failure = element("p", { class: "error", role: "alert" });
  const form = element(
    "form",
    { class: "login" },
    element("h1", {}, "Sign in"),
    element(
      "p",
      {},
      "Open the address that ",
      element("code", {}, "pg-migration dashboard"),
      " printed last, or enter its token.",
    ),
    element("label", { for: "token" }, "Token"),
    element("div", { class: "bar" }, token, element("button", { type: "submit", class: "main" }, "Sign in")),
    failure,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(token.value).then(
      () => location.reload(),
      (error: unknown) => (failure.textContent = error instanceof Error ? error.message : String(error)),
    );
  });
  root.replaceChildren(form);
  token.focus();
}

async function signIn(token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token.trim()}` };
  const response = await fetch("/api/session", { method: "POST", headers });
  if (response.status === 401) throw new Error("The token is wrong.");
  if (!response.ok) throw new Error(`The dashboard answered with status ${response.status}.`);
}
