# Sourced by the .sbatch files: where omicsfm lies, what a job may use, and how it is started and requeued.
#
#   OMICSFM_HOME     the clone (default: the folder sbatch was called in); it need not be writable
#   OMICSFM_VENV     the virtual environment (default: OMICSFM_HOME/.venv); absent: python3 of the loaded modules
#   OMICSFM_MODULES  environment modules to load first, as in "Python/3.11 CUDA/12.8" (default: none)
#   OMICSFM_CONTAINER  an image of omicsfm.def, in which the tasks run instead (default: none)

export OMICSFM_HOME="${OMICSFM_HOME:-${SLURM_SUBMIT_DIR:-$PWD}}"
if [[ -n "${OMICSFM_MODULES:-}" ]]; then
  # shellcheck disable=SC2086  # several names in one variable
  module load $OMICSFM_MODULES
fi
inside=(env)  # what every command of ours starts with
if [[ -n "${OMICSFM_CONTAINER:-}" ]]; then
  inside=(apptainer exec --nv --bind "$OMICSFM_HOME" "$OMICSFM_CONTAINER")
fi
OMICSFM_VENV="${OMICSFM_VENV:-$OMICSFM_HOME/.venv}"
if [[ -f "$OMICSFM_VENV/bin/activate" ]]; then
  source "$OMICSFM_VENV/bin/activate"
fi
export PYTHONPATH="$OMICSFM_HOME${PYTHONPATH:+:$PYTHONPATH}"
export WANDB_MODE="${WANDB_MODE:-offline}"       # compute nodes rarely see the internet; sync later from a login node
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}"
export PYTHONUNBUFFERED=1                        # a log that is current when the job is killed

# The trainer that fits this allocation, unless the caller named one.
trainer_arguments() {
  local argument tasks="${SLURM_NTASKS:-1}" nodes="${SLURM_JOB_NUM_NODES:-1}" gpus="${SLURM_JOB_GPUS:-${SLURM_GPUS_ON_NODE:-}}"
  for argument in "$@"; do
    [[ "$argument" == trainer=* ]] && return
  done
  if (( tasks > 1 )); then
    echo "trainer=ddp trainer.num_nodes=$nodes trainer.devices=$(( tasks / nodes ))${gpus:+ trainer.precision=bf16-mixed}"
  elif [[ -n "$gpus" ]]; then
    echo "trainer=gpu"
  else
    echo "trainer=cpu"
  fi
}

# Run a command in this allocation, one process per task; the job goes back into the queue, where the same command resumes
# its run_dir,
#   - when it was asked to stop. Slurm warns this shell before the time limit (--signal=B:USR1); a preemption, or scancel
#     --signal, reaches the tasks. Training then saves between two steps and requeues the job itself, or ends with status
#     75 where it finds no scontrol, as in a container; other programs end by the signal;
#   - when a signal killed a task, as the kernel does where memory is short, or a node that fails, and the run had saved
#     a newer state than the one it began with: a job that dies in the same place twice is not tried again.
# A plain scancel ends this shell too, and so nothing is requeued.
# In a job of an array, {task} in an argument is its number, as in data.fold={task} run_dir=RUNS/fold-{task}.
launch() {
  set -- "${@//\{task\}/${SLURM_ARRAY_TASK_ID:-}}"
  local run_dir="" argument status=0 warned="" before
  for argument in "$@"; do
    [[ "$argument" == run_dir=* ]] && run_dir="${argument#run_dir=}"
  done
  before="$(newest_state "$run_dir")"
  echo "job ${SLURM_JOB_ID:-none} on ${SLURM_JOB_NODELIST:-$(hostname)}, restart ${SLURM_RESTART_COUNT:-0}: $*"
  srun --kill-on-bad-exit=1 "${inside[@]}" "$@" &
  local step=$!
  trap 'warned=yes; echo "asked to stop: tells the tasks"; kill -USR1 "$step"' USR1
  wait "$step" || status=$?
  while kill -0 "$step" 2>/dev/null; do  # a trapped signal ends wait, not the step
    status=0
    wait "$step" || status=$?
  done
  if (( status == 75 )) || [[ -n "$warned" && $status -ne 0 ]]; then
    requeue "stopped to be continued"
  elif (( status > 128 )) && [[ "$(newest_state "$run_dir")" != "$before" ]]; then
    requeue "a task was killed (status $status) after the run had got further"
  fi
  return "$status"
}

# Look at the machine and the store before any task starts; what would stop the run ends the job, with its remedy in the log.
# A run that has a state has passed this.
preflight() {
  local argument run_dir="." store=""
  set -- "${@//\{task\}/${SLURM_ARRAY_TASK_ID:-}}"
  for argument in "$@"; do
    [[ "$argument" == run_dir=* ]] && run_dir="${argument#run_dir=}"
    [[ "$argument" == data.store=* ]] && store="${argument#data.store=}"
  done
  [[ -n "$(newest_state "$run_dir")" ]] && return
  "${inside[@]}" python -m omicsfm.cli doctor --run-dir "$run_dir"
  IFS=',' read -ra stores <<< "${store//[\[\] ]/}"
  for store in ${stores[@]+"${stores[@]}"}; do
    "${inside[@]}" python -m omicsfm.cli inspect "$store"
  done
}

newest_state() {
  [[ -d "$1" ]] && find "$1" -path '*/resume/step-*' -name manifest.json -printf '%T@ %p\n' | sort -n | tail -n 1
  return 0
}

requeue() {
  echo "$1: requeues job $SLURM_JOB_ID"
  scontrol requeue "$SLURM_JOB_ID"
}
