"""What a launcher of MPI programs tells its processes, known without MPI itself."""

import os
import sys
from collections.abc import Mapping

__all__ = ["launched_ranks"]

# Of Open MPI and its kin; MPICH, Intel MPI, MS-MPI and Slurm's PMI-2; MVAPICH.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


def launched_ranks(environment: Mapping[str, str] | None = None) -> int:
    """How many processes `mpirun`, `mpiexec` or `srun` started together with this one; 1 without any of them.

    A program that has imported mpi4py itself is asked through it.

    Example:
        >>> launched_ranks({"OMPI_COMM_WORLD_SIZE": "4"}), launched_ranks({})
        (4, 1)
    """
    environment = os.environ if environment is None else environment
    names = list(_SIZES)
    if "PMIX_RANK" in environment:  # srun --mpi=pmix; in the script of a job itself there is no such rank
        names.append("SLURM_STEP_NUM_TASKS")
    for name in names:
        text = environment.get(name, "")
        if text.isdecimal() and int(text) >= 1:
            return int(text)
    module = sys.modules.get("mpi4py.MPI") if environment is os.environ else None
    return 1 if module is None else int(module.COMM_WORLD.size)
