"""`python -m worldreel` is `worldreel`."""

from worldreel.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
