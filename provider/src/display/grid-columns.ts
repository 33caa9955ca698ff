/** Columns of the grid of migrations in Azure's portal, used by the command and the dashboard. */
export const gridColumns = [
  "Name",
  "Status",
  "Migration mode",
  "Migration type",
  "Source server",
  "Source server type",
  "Databases",
  "Duration",
  "Start time",
] as const;
