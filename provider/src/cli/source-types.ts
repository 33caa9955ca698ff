/** Azure's names for where a source runs. */
export const sourceTypes = [
  ...["OnPremises", "AWS", "AWS_RDS", "AWS_AURORA", "AWS_EC2", "GCP", "GCP_CloudSQL", "GCP_AlloyDB", "GCP_Compute"],
  ...["AzureVM", "PostgreSQLSingleServer", "PostgreSQLFlexibleServer", "PostgreSQLCosmosDB", "EDB"],
  ...["EDB_Oracle_Server", "EDB_PostgreSQL", "Huawei_RDS", "Huawei_Compute", "Heroku_PostgreSQL"],
  ...["Crunchy_PostgreSQL", "ApsaraDB_RDS", "Digital_Ocean_Droplets", "Digital_Ocean_PostgreSQL"],
  "Supabase_PostgreSQL",
] as const;
