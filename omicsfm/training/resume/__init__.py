"""What a run saves so that it can go on: whole states in RUN/resume, written beside training and verified when read."""
