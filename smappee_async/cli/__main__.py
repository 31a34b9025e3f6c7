"""``python -m smappee_async.cli``: the command where its script is not on the path."""

from smappee_async.cli import main

if __name__ == "__main__":
    main()
