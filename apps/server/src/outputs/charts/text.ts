import { label } from '@zk0/charts';

/** A client's id for people: ids are often bare numbers. */
export function clientLabel(id: string): string {
  return label(id.startsWith('client') ? id : `client ${id}`);
}
