/** The columns of the portal's grid of migrations, which the command and the page show as well. */
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
