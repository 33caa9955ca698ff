import { button, byId, element } from "./element.js";

export interface Question {
  readonly title: string;
  readonly lines: readonly string[];
  readonly agree: string;
  /** Does what was agreed to; its failure is shown. */
  readonly run: () => Promise<void>;
}

/** Asks before something that cannot be taken back. Escape says no. */
export function confirm(question: Question): void {
  const dialog = byId("confirm") as HTMLDialogElement;
  const failure = element("p", { class: "error", role: "alert" });
  const close = (): void => dialog.close();
  const run = button(
    question.agree,
    () => {
      run.disabled = true;
      question.run().then(close, (error: unknown) => {
        run.disabled = false;
        failure.textContent = error instanceof Error ? error.message : String(error);
      });
    },
    "main",
  );
  dialog.replaceChildren(
    element("h2", { id: "confirm-title" }, question.title),
    ...question.lines.map((line) => element("p", {}, line)),
    failure,
    element("div", { class: "bar" }, run, button("Not now", close)),
  );
  dialog.showModal();
}
