/* model/fate.h — what a member that reaches the API server says became of a pod of a lost node */
#pragma once

enum fate {
	FATE_FAILED,			/* nothing was done about it in time, or what was tried was refused */
	FATE_WORKING,			/* its deletion is under way */
	FATE_GONE,			/* the cluster has it no more: its ReplicaSet has replaced it */
	FATE_ALIVE,			/* its node lives, or somebody runs a copy */
	FATE_COUNT,
};
