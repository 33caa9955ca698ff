import type { MigrationResource } from "../../../display/migration-resource.js";
import { linkToCode } from "../../../finding-codes/findings-page.js";
import type { ValidationMessage } from "../../../status.js";
import { DataTable, type Column } from "../components/data-table.js";
import { button, element } from "../components/element.js";
import { pill } from "../components/pill.js";

type Message = Pick<ValidationMessage, "state" | "message"> & {
  readonly [Property in "code" | "object" | "remedy"]?: string | undefined;
};

export interface ShownFinding {
  readonly id: string;
  readonly message: Message;
  readonly objects: string;
}

const severity = ["Failed", "Warning", "Succeeded"];

export const hasFailedFinding = (migration: MigrationResource): boolean =>
  findingsOf(migration).some(({ message }) => message.state === "Failed");

/** The message of the first finding with this code; undefined without one. */
export const messageOfFinding = (migration: MigrationResource, code: string): string | undefined =>
  findingsOf(migration).find(({ message }) => message.code === code)?.message.message;

/** The findings of a validation, the most severe first. */
export function findingsPart(findings: readonly ShownFinding[], isOpen: boolean): Node[] {
  if (findings.length === 0) return [];
  const all = [...findings].sort((a, b) => severity.indexOf(a.message.state) - severity.indexOf(b.message.state));
  const counts = severity
    .map((state) => [state, all.filter(({ message }) => message.state === state).length] as const)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${state.toLowerCase()}`);
  const table = new DataTable({ label: "Validation", columns, key: ({ id }) => id });
  table.show(all);
  const title = element("h2", {}, `Validation: ${counts.join(", ")}`);
  return [element("details", isOpen ? { open: "" } : {}, element("summary", {}, title), table.root)];
}

export function findingsOf(migration: MigrationResource): ShownFinding[] {
  const details = migration.currentStatus.currentSubStateDetails?.validationDetails;
  if (!details) return [];
  const found = [
    ...details.serverLevelValidationDetails.flatMap(({ messages }) =>
      messages.map((message) => ({ message, database: "" })),
    ),
    ...details.dbLevelValidationDetails.flatMap(({ databaseName, summary }) =>
      summary.flatMap(({ messages }) => messages.map((message) => ({ message, database: databaseName }))),
    ),
  ];
  return found.map(({ message, database }, i) => shownFinding(message, database, i));
}

export const shownFinding = (message: Message, database: string, index: number): ShownFinding => ({
  id: String(index),
  message,
  objects: [...new Set([database, message.object ?? ""])].filter(Boolean).join(" "),
});

const columns: readonly Column<ShownFinding>[] = [
  {
    name: "Status",
    cell: ({ message }) => pill(message.state),
    value: ({ message }) => severity.indexOf(message.state),
    className: "status",
  },
  { name: "Code", cell: ({ message }) => codeLink(message.code), value: ({ message }) => message.code ?? "" },
  { name: "Object", cell: ({ objects }) => objects, value: ({ objects }) => objects, className: "wrap" },
  {
    name: "Finding",
    cell: ({ message }) => message.message,
    value: ({ message }) => message.message,
    className: "wrap long",
  },
  {
    name: "Remedy",
    cell: ({ message }) => remedy(message),
    value: ({ message }) => message.remedy ?? "",
    className: "wrap long",
  },
];

export const codeLink = (code: string | undefined): Node | string =>
  code === undefined ? "" : element("a", { href: linkToCode(code), target: "_blank", rel: "noreferrer" }, code);

function remedy({ remedy: text, state }: Message): Node | string {
  if (text === undefined || state === "Succeeded") return "";
  const copy = button("Copy", () => {
    navigator.clipboard.writeText(text).then(
      () => (copy.textContent = "Copied"),
      // Without permission for the clipboard, the user can still select the text.
      () => (copy.textContent = "Select the text to copy it"),
    );
  });
  return element("span", {}, element("code", {}, text), " ", copy);
}
