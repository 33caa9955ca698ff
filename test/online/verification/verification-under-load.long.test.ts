import { verifyUnderLoad } from "./verification-under-load";

verifyUnderLoad(40);
