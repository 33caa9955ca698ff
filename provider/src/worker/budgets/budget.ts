import { z } from "zod";
import { connectionsOfOneJob } from "./connections.js";

const count = z.number().int();

export const minConnections = Math.max(connectionsOfOneJob.source, connectionsOfOneJob.target);
export const minBytesPerSecond = 65_536;

/** Limits of all migrations that use one server as their source, or as their target. */
export const budgetSchema = z.object({
  /** Databases that are copied at the same time. */
  copies: count.min(1).optional(),
  /** Connections to the server. */
  connections: count.min(minConnections).optional(),
  /** Bytes that all copies read per second. */
  bytesPerSecond: count.min(minBytesPerSecond).optional(),
});

export type Budget = z.infer<typeof budgetSchema>;

/** The budgets of a migration's source and of its target. */
export const budgetsSchema = z.object({
  source: budgetSchema,
  target: budgetSchema,
  /** Number of databases of the migration, which determines its connections. */
  databases: count.min(1).default(1),
});

export type Budgets = z.input<typeof budgetsSchema>;
