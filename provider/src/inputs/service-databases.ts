/** Databases that belong to a server or its service. Users cannot connect to most of them. */
export const serviceDatabases: readonly string[] = [
  ...["template0", "template1"],
  // Azure, Amazon RDS, Google Cloud SQL and AlloyDB.
  ...["azure_maintenance", "azure_sys", "rdsadmin", "cloudsqladmin", "alloydbadmin", "alloydbmetadata"],
  // Aiven, DigitalOcean and Supabase.
  ...["_aiven", "_dodb", "_supabase"],
];
