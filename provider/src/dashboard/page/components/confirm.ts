import { button, byId, element } from "./element.js";

export interface ConfirmDialogOptions {
  readonly title: string;
  /** Called every second while the dialog is open, so that figures stay current. */
  readonly lines: () => readonly string[];
  readonly agree: string;
  /** Names of which the user can deselect some. One name is not shown. */
  readonly choices?: readonly string[];
  /** Runs with the selected names when the user agrees. The dialog shows its failure. */
  readonly run: (chosen: readonly string[]) => Promise<void>;
}

/** Asks before an action that cannot be undone. The focus is on the button that declines; Escape declines as well. */
export function confirm(options: ConfirmDialogOptions): void {
  const dialog = byId("confirm") as HTMLDialogElement;
  const failure = element("p", { class: "error", role: "alert" });
  const text = element("div", {});
  const { choices = [] } = options;
  const boxes = choices.map((name) => {
    const box = element("input", { type: "checkbox", value: name });
    box.checked = true;
    return box;
  });
  const draw = (): void => {
    const lines = options.lines();
    if (text.innerText !== lines.join("\n\n")) text.replaceChildren(...lines.map((line) => element("p", {}, line)));
  };
  const close = (): void => dialog.close();
  const run = button(
    options.agree,
    () => {
      const chosen = boxes.filter(({ checked }) => checked).map(({ value }) => value);
      if (choices.length > 0 && chosen.length === 0) {
        failure.textContent = "Select at least one database.";
        return;
      }
      run.disabled = true;
      options.run(chosen).then(close, (error: unknown) => {
        run.disabled = false;
        failure.textContent = error instanceof Error ? error.message : String(error);
      });
    },
    "main",
  );
  const decline = button("Not now", close);
  dialog.replaceChildren(
    element("h2", { id: "confirm-title" }, options.title),
    text,
    ...(boxes.length > 1 ? [choiceList(boxes)] : []),
    failure,
    element("div", { class: "bar" }, decline, run),
  );
  draw();
  const timer = setInterval(draw, 1000);
  dialog.addEventListener("close", () => clearInterval(timer), { once: true });
  dialog.showModal();
  decline.focus();
}

const choiceList = (boxes: readonly HTMLInputElement[]): HTMLElement =>
  element(
    "fieldset",
    {},
    element("legend", {}, "Databases"),
    ...boxes.map((box) => element("label", {}, box, ` ${box.value} `)),
  );
