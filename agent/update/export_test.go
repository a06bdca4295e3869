package update

import "context"

// Round asks once.
func (u *Updater) Round(ctx context.Context) (again bool, err error) { return u.round(ctx) }
