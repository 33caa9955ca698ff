import { testSlots } from "./slots";

testSlots(10);
