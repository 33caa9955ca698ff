import type { MigrationResource } from "../../../display/migration-resource.js";
import { sentenceOf } from "../../../display/phases.js";
import { userAction } from "../../../display/user-actions.js";
import type { DatabaseDetails } from "../../../status.js";
import { formatDuration } from "../../../units/duration.js";
import { comparisonOf } from "./comparison.js";
import { element } from "../components/element.js";
import { bytes, count } from "../components/format.js";
import { messageOfFinding } from "./findings.js";
import { lagText, measuredLag, type Lag } from "./lag.js";
import { icon, type Tone } from "../components/pill.js";

interface NextStep {
  readonly tone: Tone;
  readonly title: string;
  readonly text?: string;
}

const lateWritesCode = "PGM-508";

/** A cutover at this lag takes seconds. */
const smallLag: Lag = { bytes: 16 * 2 ** 20, seconds: 10 };

const offlineNote =
  "Applications must not write to the source. Rows that are committed after the copy's snapshot are not migrated.";

/** A banner that shows what happens next, or what the user has to do. */
export function nextStepPart(migration: MigrationResource): Node[] {
  const step = nextStep(migration);
  if (!step) return [];
  const isUrgent = step.tone === "bad";
  return [
    element(
      "div",
      { id: "state", class: `banner ${step.tone}`, role: isUrgent ? "alert" : "status" },
      icon(step.tone),
      element(
        "div",
        {},
        element("strong", {}, step.title),
        ...(step.text === undefined ? [] : [element("p", { class: "message" }, step.text)]),
      ),
    ),
  ];
}

function nextStep(migration: MigrationResource): NextStep | undefined {
  const { state, currentSubStateDetails: details, worker, error } = migration.currentStatus;
  const databases = Object.values(details?.dbDetails ?? {});
  if (worker?.state === "lost")
    return {
      tone: "bad",
      title: "No worker is running, so nothing moves.",
      text: `Run pulumi up, or pg-migration update --name ${migration.name}, to start a worker.${error === undefined ? "" : `\n${error}`}`,
    };
  if (state === "ValidationFailed")
    return {
      tone: "bad",
      title: "The validation failed. Fix the findings below and run the migration again.",
      ...textOf(error),
    };
  if (state === "Failed")
    return {
      tone: "bad",
      title: "The migration failed. Fix the cause, and run pulumi up to resume it.",
      ...textOf(error),
    };
  if (state === "Canceled") return { tone: "idle", title: "The migration was canceled.", ...textOf(error) };
  if (state === "Succeeded") return success(migration, databases);
  const subState = details?.currentSubState;
  if (error !== undefined) return { tone: "bad", title: "Some databases failed; the others continue.", text: error };
  if (subState === "WaitingForCutoverTrigger") return readiness(databases);
  const action = userAction(subState);
  if (action !== undefined) return { tone: "warn", title: `${sentenceOf(subState)}.`, text: action };
  const title = `${sentenceOf(subState)}${copyText(migration)}`;
  return { tone: "active", title, ...(migration.migrationMode === "Offline" ? { text: offlineNote } : {}) };
}

function success(migration: MigrationResource, databases: readonly DatabaseDetails[]): NextStep {
  const lateWrites = messageOfFinding(migration, lateWritesCode);
  if (lateWrites === undefined) return { tone: "good", title: `The migration succeeded${comparisonText(databases)}.` };
  return { tone: "warn", title: "The target lacks changes that were committed after the snapshot.", text: lateWrites };
}

const textOf = (error: string | undefined): { readonly text?: string } => (error === undefined ? {} : { text: error });

function readiness(databases: readonly DatabaseDetails[]): NextStep {
  const lag = measuredLag(databases);
  const different = databases.reduce((sum, one) => sum + comparisonOf(one).different, 0);
  if (different > 0)
    return {
      tone: "bad",
      title: `${count(different)} tables differ from the source.`,
      text: "Check them before you cut over.",
    };
  if (!lag) return { tone: "active", title: "Waiting for the first measurement of the lag." };
  const behind = `${lagText(lag)} behind${comparisonText(databases)}`;
  if (lag.bytes > smallLag.bytes || lag.seconds > smallLag.seconds) {
    const left = Math.max(0, ...databases.map(({ secondsToCatchUp }) => secondsToCatchUp ?? 0));
    return { tone: "active", title: `Catching up: ${behind}${left > 0 ? `, about ${formatDuration(left)} left` : ""}` };
  }
  return {
    tone: "good",
    title: `Ready to cut over: ${behind}`,
    text: "Everything is copied, and changes are applied until the cutover.",
  };
}

function comparisonText(databases: readonly DatabaseDetails[]): string {
  const comparisons = databases.map(comparisonOf);
  const compared = comparisons.reduce((sum, one) => sum + one.compared, 0);
  const isEqual = comparisons.every((one) => one.compared > 0 && one.different === 0);
  return isEqual && compared > 0 ? `, all ${count(compared)} tables equal` : "";
}

function copyText({ currentStatus }: MigrationResource): string {
  const { percent = 0, secondsLeft, currentSubStateDetails: details } = currentStatus;
  if (details?.currentSubState !== "MigratingData") return "";
  const copied = Object.values(details.dbDetails).reduce((sum, one) => sum + one.bytesCopied, 0);
  const left = secondsLeft === undefined ? "" : `, about ${formatDuration(secondsLeft)} left`;
  return `: ${percent} %, ${bytes(copied)}${left}`;
}
