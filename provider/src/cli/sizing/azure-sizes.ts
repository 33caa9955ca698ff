/** Where Microsoft documents the sizes of this file. */
export const sizeDocuments = [
  "https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-compute",
  "https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-storage",
  "https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-limits",
];

export interface ComputeSize {
  readonly sku: string;
  readonly tier: "GeneralPurpose" | "MemoryOptimized";
  readonly vCores: number;
  readonly memoryGib: number;
  readonly maxIops: number;
  /** Default of max_connections, without the connections that Azure reserves. */
  readonly userConnections: number;
}

const general = (vCores: number, maxIops: number, userConnections: number): ComputeSize => ({
  ...{ sku: `Standard_D${vCores}ds_v5`, tier: "GeneralPurpose" },
  ...{ vCores, memoryGib: 4 * vCores, maxIops, userConnections },
});

const optimized = (
  vCores: number,
  {
    maxIops,
    userConnections,
    memoryGib = 8 * vCores,
  }: Pick<ComputeSize, "maxIops" | "userConnections"> & {
    readonly memoryGib?: number;
  },
): ComputeSize => ({
  ...{ sku: `Standard_E${vCores}ds_v5`, tier: "MemoryOptimized" },
  ...{ vCores, memoryGib, maxIops, userConnections },
});

/** Sizes of the v5 series. Burstable sizes are not meant for production. */
export const computeSizes: readonly ComputeSize[] = [
  general(2, 3750, 844),
  general(4, 6400, 1703),
  general(8, 12800, 3422),
  general(16, 25600, 4985),
  general(32, 51200, 4985),
  general(48, 76800, 4985),
  general(64, 80000, 4985),
  general(96, 80000, 4985),
  optimized(2, { maxIops: 3200, userConnections: 1703 }),
  optimized(4, { maxIops: 6400, userConnections: 3422 }),
  optimized(8, { maxIops: 12800, userConnections: 4985 }),
  optimized(16, { maxIops: 25600, userConnections: 4985 }),
  optimized(20, { maxIops: 32000, userConnections: 4985 }),
  optimized(32, { maxIops: 51200, userConnections: 4985 }),
  optimized(48, { maxIops: 76800, userConnections: 4985 }),
  optimized(64, { maxIops: 80000, userConnections: 4985 }),
  optimized(96, { maxIops: 80000, userConnections: 4985, memoryGib: 672 }),
];

export interface StorageSize {
  readonly gib: number;
  /** The performance tier of this size. */
  readonly tier: string;
  readonly iops: number;
}

/** Premium SSD. */
export const storageSizes: readonly StorageSize[] = [
  { gib: 32, tier: "P4", iops: 120 },
  { gib: 64, tier: "P6", iops: 240 },
  { gib: 128, tier: "P10", iops: 500 },
  { gib: 256, tier: "P15", iops: 1100 },
  { gib: 512, tier: "P20", iops: 2300 },
  { gib: 1024, tier: "P30", iops: 5000 },
  { gib: 2048, tier: "P40", iops: 7500 },
  { gib: 4096, tier: "P50", iops: 7500 },
  { gib: 8192, tier: "P60", iops: 16000 },
  { gib: 16384, tier: "P70", iops: 18000 },
  { gib: 32767, tier: "P80", iops: 20000 },
];
