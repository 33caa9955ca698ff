import { killFollower } from "./killed-follower";

killFollower(5);
