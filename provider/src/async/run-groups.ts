export interface GroupsToRun<Step, Tool> {
  /** Steps of one group run one after another. */
  readonly groups: readonly (readonly Step[])[];
  /** Maximum number of groups that run at the same time. */
  readonly atOnce: number;
  readonly signal: AbortSignal;
  /** Calls its argument with what the steps need, such as a session, and releases this afterwards. */
  readonly withTool: (use: (tool: Tool) => Promise<void>) => Promise<void>;
  /** The signal aborts also when another group fails. */
  readonly runGroup: (tool: Tool, group: readonly Step[], signal: AbortSignal) => Promise<void>;
}

/**
 * Runs groups of steps in parallel, each with a tool that it shares with the groups before and after it. The first failure stops
 * all. Ends when all have ended.
 *
 * @example await runGroups({ groups, atOnce: 2, signal, withTool: (use) => withSession(target, options, use), runGroup });
 */
export async function runGroups<Step, Tool>(options: GroupsToRun<Step, Tool>): Promise<void> {
  const { groups, atOnce, withTool, runGroup } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const waiting = [...groups];
  const runners = Array.from({ length: Math.min(atOnce, groups.length) }, async () => {
    try {
      await withTool(async (tool) => {
        for (let group = waiting.shift(); group && !signal.aborted; group = waiting.shift())
          await runGroup(tool, group, signal);
      });
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(runners);
  signal.throwIfAborted();
}
